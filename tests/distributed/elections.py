"""How a primary of MongoDB ends, while a service works."""

from tests.clusters.topologies import MongoReplicaSet
from tests.distributed.service import Service


def primary_steps_down(replica_set: MongoReplicaSet, _: Service) -> None:
    replica_set.step_down()


def primary_is_killed(replica_set: MongoReplicaSet, _: Service) -> None:
    old = replica_set.primary()
    replica_set.kill(old)
    replica_set.primary(other_than=old)
    replica_set.restart(old)
