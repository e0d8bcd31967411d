"""Distributed builds: the same tables, computed by shards of accounts.

1. `shards`: which accounts belong to a shard, and what of landing concerns them
2. `shard_stages`: the steps of a refresh for one shard, in a warehouse of its own
3. `exports`: the tables that leave a shard, as parts of the lake
4. `shard_tasks`: what a task does for one shard; `spark_plan` and `spark_session` have Spark run the tasks
5. `merging`: the results of all shards; `fleet`: the tables that need all accounts, over the parts of all shards
6. `build`: one build, from landing to the lake; `build_state` is what it keeps for the next
"""
