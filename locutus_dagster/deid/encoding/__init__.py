"""From the bytes of a file to walked elements and back (PS3.5, PS3.10), and the zip around them.

What belongs here: byte layouts, lengths, character sets. What does not: rules about attributes.
"""
