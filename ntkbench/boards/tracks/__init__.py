"""The rules of a leaderboard: its columns, what it freezes, what it bounds, what entries need to qualify.

`track.read` reads them from the file `track.yaml` of a board:

    track = read(Path("leaderboards/transfer-fashion@2"))
    track.violations(cell)        # one text for each rule that the experiment `cell` breaks
"""
