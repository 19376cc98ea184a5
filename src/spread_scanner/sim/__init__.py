"""A pretend exchange: eight sources on loopback in their own formats, with faults on request.

A process of its own. It knows schema/ and nothing else of the product, so that what it says about
a format is a second opinion and never a copy of the parser under test.
"""
