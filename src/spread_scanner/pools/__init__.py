"""Pools of Solana as they live: what is asked of RPC providers and heard from them, which accounts
a pool's price needs, when it is whole, and what trading a size in it would cost. Pure so far: the
process that dials stands on it.

rpc        messages to and from providers
"""
