"""dcsim: what can we build with this power, what will it do, what will it cost, and how sure are we?"""

__version__ = "0.1.0"
