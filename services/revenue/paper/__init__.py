"""What people read, in Chinese and English: statements and funds as pages and on paper. Pure: no I/O.

Nothing here is fetched from elsewhere when it is read: styles, picture and font are part of what is sent.
"""
