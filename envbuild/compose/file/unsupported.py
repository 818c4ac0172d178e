"""Keys of compose that are not supported, and what to do instead."""

from __future__ import annotations

_ROOTLESS = "instances have no privileges on the machine"
_ONE_NETWORK = "services reach each other by name in their network"

OF_SERVICE = {
    "build": "write a recipe and name it: recipe: FILE.env",
    "annotations": "use labels",
    "attach": "envbuild up --follow shows all services, envbuild logs one",
    "blkio_config": "limits are memory, cpus and pids",
    "cap_add": _ROOTLESS,
    "cap_drop": "instances have the few capabilities that docs/security.md lists",
    "cgroup": _ROOTLESS,
    "cgroup_parent": _ROOTLESS,
    "cpu_count": "use cpus",
    "cpu_percent": "use cpus",
    "cpu_period": "use cpus",
    "cpu_quota": "use cpus",
    "cpu_rt_period": "use cpus",
    "cpu_rt_runtime": "use cpus",
    "cpu_shares": "use cpus",
    "cpuset": "use cpus",
    "credential_spec": "leave it out",
    "develop": "bind the directory with volumes, and run envbuild up again",
    "device_cgroup_rules": _ROOTLESS,
    "devices": _ROOTLESS,
    "dns": _ONE_NETWORK,
    "dns_opt": _ONE_NETWORK,
    "dns_search": _ONE_NETWORK,
    "domainname": "use hostname",
    "extends": "share parts with an anchor: `x-base: &base` and `<<: *base`",
    "external_links": _ONE_NETWORK,
    "extra_hosts": "write it into the recipe: file /etc/hosts",
    "gpus": _ROOTLESS,
    "group_add": "make the groups in the recipe: adduser NAME groups=A,B",
    "ipc": "each instance has its own",
    "isolation": "leave it out",
    "label_file": "use labels",
    "links": "leave it out: " + _ONE_NETWORK + "; depends_on gives the order",
    "logging": "leave it out: envbuild logs has what a service printed",
    "mac_address": "leave it out",
    "mem_reservation": "use mem_limit",
    "mem_swappiness": "use mem_limit",
    "memswap_limit": "use mem_limit",
    "models": "leave it out",
    "oom_kill_disable": "use mem_limit",
    "oom_score_adj": "use mem_limit",
    "pid": "each instance has its own processes",
    "platform": "images are of this machine's kind; leave it out",
    "post_start": "put it into the command, or a service of its own with depends_on",
    "pre_stop": "handle the stop signal in the command",
    "privileged": _ROOTLESS,
    "provider": "leave it out",
    "pull_policy": "leave it out: images come from the store or from a recipe",
    "runtime": "leave it out",
    "security_opt": "leave it out: docs/security.md has what holds for all instances",
    "shm_size": "mount one: tmpfs: /dev/shm:size=64m",
    "stdin_open": "leave it out: envbuild exec opens a shell beside a service",
    "storage_opt": "leave it out",
    "sysctls": _ROOTLESS,
    "tty": "leave it out: envbuild exec opens a terminal beside a service",
    "ulimits": "set them in the command: sh -c 'ulimit -n 1024; exec PROGRAM'",
    "use_api_socket": "leave it out",
    "userns_mode": "each instance has its own",
    "uts": "each instance has its own",
    "volumes_from": "name the volumes of both services",
}

OF_FILE = {
    "include": "put the services into one file",
    "models": "leave it out",
}

OF_DEPLOY = {
    "endpoint_mode": "leave it out",
    "labels": "use labels of the service",
    "placement": "leave it out: all services are on this machine",
    "restart_policy": "use restart",
    "rollback_config": "leave it out",
    "update_config": "leave it out",
}

OF_VOLUME = {"driver_opts": "a volume is a directory of the store; bind a directory of the host with ./FOLDER:/PATH"}
OF_NETWORK = {
    "attachable": "leave it out",
    "driver_opts": "leave it out: networks have no options here",
    "enable_ipv4": "leave it out",
    "enable_ipv6": "leave it out",
    "ipam": "leave it out: addresses are given by envbuild",
}
OF_SERVICE_NETWORK = {
    "driver_opts": "leave it out",
    "gw_priority": "leave it out",
    "interface_name": "leave it out",
    "ipv4_address": "use the service's name instead of an address",
    "ipv6_address": "use the service's name instead of an address",
    "link_local_ips": "leave it out",
    "mac_address": "leave it out",
    "priority": "leave it out",
}
