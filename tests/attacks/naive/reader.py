"""The negative control for what is read: `reader.py spec FILE`, `reader.py policy FILE USER`, as if nobody meant harm."""
import json
import re
import sys

if sys.argv[1] == 'spec':
    with open(sys.argv[2]) as f:
        print(json.load(f))
else:
    with open(sys.argv[2]) as f:
        text = re.sub(r'@include "(.*)"', lambda m: open(m[1]).read(), f.read())
    for user, rootfs in re.findall(r'user = "(.*?)"; rootfs = "(.*?)"', text):
        if user == '*' or sys.argv[3].lower().startswith(user.lower()):
            print('rootfs:', rootfs.replace('%u', sys.argv[3]))
            break
