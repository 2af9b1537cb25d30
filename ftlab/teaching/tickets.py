"""Twenty support tickets of lesson 05, written one by one: the text, its intent, its priority.

>>> len(TICKETS), TICKETS[0][1:]
(20, ('billing', 'normal'))
"""

from ftlab.files import read_data

TICKETS = tuple(tuple(row.values()) for row in read_data("lessons/tickets.yaml"))
"""(text, intent, priority) of twenty tickets; the last five are held out."""
