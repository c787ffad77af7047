"""Access: who may call, and how much.

api_key.py     ApiKey: one caller's entry, and how keys are made and hashed
keys_file.py   KeysFile: the entries, read again when the file changes
new_key.py     making a key and its entry
gatekeeper.py  from a request's key to its Caller
quotas.py      Quotas: rows and tokens per minute, kept in the server, with lua/quota.lua
"""
