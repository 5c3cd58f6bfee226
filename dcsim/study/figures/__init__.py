"""Key figures of many variants of one plan: each stage runs only where something before it differs."""
