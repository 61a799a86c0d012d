"""The explorer: a page in the browser in which one draws, drags and watches, with a trained model behind it.

`server` answers the page; what it computes is in `asks`, and is what the library computes. The page itself, in page/, is made of
ES modules and asks a backend: this server, or, in a page that was exported, the engine in page/engine.
"""
