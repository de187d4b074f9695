"""The lab: topologies, faults and scenarios in network namespaces. Debian 12, Python 3.11, standard library only."""
