"""Systems that a user could rank with instead: each is asked for one post's fresh top 50 after one change.

A peer holds the seekers as its makers advise, is told every change of one, and computes the ranking of one post whose
properties it is given as parameters. It keeps no lists, so a change of a post costs it nothing, and of the other
rankings that a change touches it computes none.
"""
