"""The console: pages for people, made by the server, readable without script. Each page stands on the services
that the command line and the interface use; here they are read, shown, and asked for what a button says.
"""
