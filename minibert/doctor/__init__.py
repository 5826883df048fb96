"""What can be known of a run before hours are spent on it: findings, each with what was seen and what to do.

    findings    what a finding is, and how a person reads it
    examples    an example of any task as texts, names of labels and a key
    labels      names that differ, lack or outweigh, and values out of their range
    copies      rows that are there twice, contradict each other, or are validated on as well

None of the checks trains, changes a file or draws a random number, unless its file says so.
"""
