"""Pools of Solana as they live: what is asked of RPC providers and heard from them, which accounts
a pool's price needs, when it is whole, and what trading a size in it would cost. Pure, but
for what asks, and the process that dials.

rpc            messages to and from providers
subscriptions  which account a subscription of one connection means
asking         accounts asked for by HTTP: seeds, and a pool as it stands now
calls          any other call of a provider's, for a command
endpoints      where a provider is reached, and how that is said without its key
wanted         which accounts a pool's price needs
held           what is held of each account, and by whom it can be stood behind
units          when a pool is whole, and is to be published
pace           how far providers are, and which are in time
effective      best bid and ask at a size, and a ladder
"""
