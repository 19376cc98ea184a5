"""The log of the market: appended in blocks, safe as far as it says, read back whole or refused.

frames    what a segment and a block look like, byte by byte
disk      every call that a disk can fail
segments  files of the log's folder: made ready before they are needed, used again
writer    appends; knows how far the log is on the disk, where a thread of its own has it synced
reader    blocks in order; a torn tail is cut and told of, damage inside is refused
snapshot  the last quotes beside the log, so that a start need not read all of it
times     stamps of another session or boot, by the clocks of now
copying   a log written once more, under its times and stores
quote_codec  ticks in few bytes and back, batch by batch
salvage   a log of what is good on both sides of the damage
"""
