"""Entries made from records, and leaderboards made from entries.

The commands `submit`, `verify`, `compare` and `leaderboard` call it. An entry holds the numbers and outcomes of the
runs of one experiment; a board is computed from its entries and the rules of its track (`tracks`), its ranks by tests
of all pairs (`ranking`).

    for board in standings.boards(Path("leaderboards")):
        print(board.track.title, board.told_pairs, board.pairs)
"""
