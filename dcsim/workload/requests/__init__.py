"""Requests to language models: what users send, when, and how long prompts and answers are."""
