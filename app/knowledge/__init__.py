"""Permitted context: parse, split, embed, index, search, cite. Nothing leaves it that the person may not read.

`sync` fills it from connectors, `search` and `documents` answer from it, `cite` ties an answer to what it used.
"""
