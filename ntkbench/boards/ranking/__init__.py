"""Ranks of the entries of a board, as confidence sets from tests of all pairs.

`boards/standings.py` calls `scores` for each entry and `ranking` for the board.

    ranking([scores(entry, track) for entry in entries], descending=True, scale="share")
"""
