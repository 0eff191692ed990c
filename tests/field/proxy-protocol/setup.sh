# The site that the package ships would share the port, and RemoteIPProxyProtocol counts for the first of them.
a2dissite -q 000-default
