"""Distributed builds: the same tables, computed by shards of accounts.

1. `shards`: which accounts belong to a shard, and what of landing concerns them
2. `shard_stages`: the steps of a refresh for one shard, in a warehouse of its own, by the unchanged steps of the product
3. `exports`: the tables that leave a shard, as Parquet files by month
4. `fleet`: the warehouse of the tables that need all accounts, over the exports of all shards
"""
