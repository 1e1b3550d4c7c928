"""The addresses of the node's network. Everything of ours lies in 10.77.0.0/16.

The host reaches pods and Services by routes, and pods reach what the host binds to HOST_ADDRESS. The node has no
default route: nothing gets out.

A packet to a Service that kube-proxy does not translate (it has no endpoints, its rules are not there yet, or
connection tracking finds the packet strange) is to be refused by kube-proxy's rules, or to vanish so that it is sent
again, as on a node with a default route. Without any route it would be answered with "Network is unreachable" before
those rules see it. So Services have a route to a bridge where nobody is.
"""

WHOLE = "10.77.0.0/16"
HOST_INTERFACE = "sophia0"
NODE_INTERFACE = "eth0"
SERVICES_INTERFACE = "services"
HOST_ADDRESS = "10.77.0.1"
NODE_ADDRESS = "10.77.0.2"
LINK_PREFIX = 24
POD_CIDR = "10.77.16.0/24"
SERVICE_CIDR = "10.77.128.0/20"
API_SERVICE_ADDRESS = "10.77.128.1"
DNS_ADDRESS = "10.77.128.10"
"""The Service of CoreDNS, which the platform installs."""
