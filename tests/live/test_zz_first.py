import os, statistics, subprocess, time, unittest, shutil
import host
from host import *
class First(unittest.TestCase):
    def test_first(self):
        N=30
        image = container('image')
        run(f'head -c 100000000 /dev/urandom >{image}/big; i=0; mkdir {image}/many; while [ $i -lt 3000 ]; do echo x >{image}/many/$i; i=$((i+1)); done')
        for i in range(N): run(['useradd','-M','-s','/bin/sh',f'u{i}'])
        shutil.rmtree(f'{ROOTS}/users', ignore_errors=True); os.makedirs(f'{ROOTS}/users', mode=0o700)
        plain = container('plain')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{plain}"; home = "none"; }}', f'{{ user = "*"; image = "{image}"; rootfs = "{ROOTS}/users/%u"; home = "none"; }}'])
        def once(user):
            t=time.monotonic(); d=nsinit('exec','--for',user,'--','true',stdin=subprocess.DEVNULL); t=time.monotonic()-t
            assert d.returncode==0, d.stderr
            until(nothing_left,'x',20)
            return 1000*t
        once('alice'); once('u0')
        first,again,rootfs=[],[],[]
        for i in range(1,N):
            first.append(once(f'u{i}')); again.append(once(f'u{i}')); rootfs.append(once('alice'))
        for n,l in (('first',first),('again',again),('plain rootfs',rootfs)):
            print(n, 'median %.1f ms, min %.1f, quartile %.1f' % (statistics.median(l), min(l), statistics.quantiles(l)[0]), flush=True)
        def calls(user):
            run(['strace','-f','-qq','-o','/tmp/trace','nsinit','exec','--for',user,'--','true'],stdin=subprocess.DEVNULL)
            until(nothing_left,'x',20)
            return int(run('wc -l </tmp/trace').stdout), run("grep -oE '^[0-9]+ +[a-z0-9_]+\\(' /tmp/trace | awk '{print $2}' | sort | uniq -c | sort -rn | head -50").stdout
        run(['useradd','-M','-s','/bin/sh','v'])
        a,at=calls('v'); b,bt=calls('v'); c,_=calls('v'); d,_=calls('alice')
        print('syscalls first', a, 'again', b, c, 'plain', d)
        open('/tmp/a','w').write(at); open('/tmp/b','w').write(bt); print(run('diff /tmp/a /tmp/b',check=False).stdout)
        print(run(f'du -sk {ROOTS}/users/v {image}').stdout)
