"""Break-even: the value of an input at which a key figure is what is asked."""
