"""Damaged files of every format that the program reads, from seeds, in one process.

mutations   ways to damage bytes and JSON, each telling how many numbers it can have changed where it stands
formats     an undamaged file of each format, and the function of the program that reads it
harness     one damaged file read: what came of it, in one of eight words
__main__    the table of what was tried: ``python -m tests.fuzz 60``
"""
