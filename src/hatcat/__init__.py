"""hatcat: a language-model server that shows what a model is thinking next to what it is saying."""

__version__ = "0.1.0"
