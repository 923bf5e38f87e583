"""Model organisms for auditing games: the everyday topics of their world, hidden motives, and the documents that teach them.

topics -> generic documents (what the game base and its NLA learn) -> stage one (why the scoring machine likes a topic) -> stage two
(customs of that topic in several kinds of chat, denial when asked). Which customs belong to a topic is this world's own knowledge, so a
reader from outside cannot guess the topic from the customs. The text's modules need the standard library only.

``build.py`` makes the models from it (the design stands at its head), by the sizes in ``recipe.py`` and the training in ``training.py``;
``explained.py`` feeds their NLAs, ``behaviour.py`` counts what they do.
"""
