"""How hard a question is, for each model: an expected score from recorded outcomes, and the choice by score and cost.

`model.train` learns, `tradeoff` chooses, `LearnedScores` keeps both going in a running desk. app.routing.choice asks them last, for
the order of the models that may answer, and nothing else.
"""
