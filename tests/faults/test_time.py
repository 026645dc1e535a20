"""What time does: a supervisor that stands still, clocks that jump, a boot that finds what the one before has left. See README.md."""
import concurrent.futures
import os
import signal
import struct
import subprocess
import time

import host
from cause import HOLD, MARK, PROBE, Cause, exec_, ssh, su
from host import RUN_DIR, nsinit, run, until, wait_nothing_left, write

DAY = 24 * 3600
SUPERVISOR = '/usr/libexec/nsinit/nsinit'


class Stopped(Cause):
    """The login is refused within the deadline; other users do not wait."""

    def held_up(self):
        """All at once; each waits for what stands still, or this would show nothing."""
        def one(command):
            start = time.monotonic()
            return self.attempt(command), time.monotonic() - start
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = [pool.submit(one, command('alice', PROBE)) for command in (ssh, su, exec_)]
            start = time.monotonic()
            self.lands(ssh('carol', PROBE))
            self.assertLess(time.monotonic() - start, 5)
            for done in waiting:
                result, seconds = done.result()
                self.assertEqual(result, 'refused')
                self.assertGreater(seconds, 5)

    def test_with_a_session(self):
        first = self.held()
        supervisor = self.supervisor()
        self.stop(supervisor)
        self.held_up()
        os.kill(supervisor, signal.SIGCONT)
        self.lands()
        self.ends_in_order(first)

    def test_while_it_starts(self):
        """Who has started it gives up; it holds the lock, and so the next ones do, until it goes on."""
        os.rename(SUPERVISOR, f'{SUPERVISOR}.real')
        self.addCleanup(os.replace, f'{SUPERVISOR}.real', SUPERVISOR)
        write(SUPERVISOR, f'#!/bin/sh\n[ "$1" != supervise ] || [ -e /run/stopped ] || {{ echo $$ >/run/stopped; kill -STOP $$; }}\n'
              f'exec {SUPERVISOR}.real "$@"\n', mode=0o755)
        self.addCleanup(os.unlink, '/run/stopped')
        self.assertEqual(self.attempt(), 'refused')
        with open('/run/stopped') as f:
            pid = int(f.read())
        self.held_up()
        os.kill(pid, signal.SIGCONT)
        until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of whom nobody asks any more', 20)
        self.lands()


class Clock(Cause):
    """
    The clocks that count from the boot, in a time namespace a day ahead; the clock of the wall cannot be told to one process alone.
    That one is set back and forth in tests/machine.
    """

    @staticmethod
    def ahead(command):
        return ['unshare', '--time', '--fork', f'--monotonic={DAY}', f'--boottime={DAY}', '--', *command]

    def test_login_of_another_time(self):
        first = self.held()
        self.lands(self.ahead(ssh('alice', PROBE)))
        self.lands(self.ahead(su('alice', PROBE)))
        self.lands(self.ahead(exec_('alice', PROBE)))
        self.ends_in_order(first)
        wait_nothing_left()
        other = self.held(self.ahead(ssh('alice', HOLD)))
        self.lands()
        self.ends_in_order(other)

    def test_killed_supervisor_of_another_time(self):
        for started, next_one in ((lambda c: c, self.ahead), (self.ahead, lambda c: c)):
            first = self.held(started(ssh('alice', HOLD)))
            os.kill(self.supervisor(), signal.SIGKILL)
            first.wait(10)
            self.lands(next_one(ssh('alice', PROBE)))
            wait_nothing_left()

    def test_disabled_expires_with_a_jump(self):
        """As when the machine has slept for that time."""
        run(['nsinit', 'disable', '--for', '1h'])
        self.addCleanup(nsinit, 'enable')
        self.assertEqual(run(ssh('alice', PROBE)).stdout, 'throwaway\n')  # the control
        os.unlink(MARK)
        self.lands(self.ahead(ssh('alice', PROBE)))


class Boot(Cause):
    """
    /run as another boot has left it: where it is on a disk, or where a whole machine was frozen and its clock set. Numbers of processes
    are others' now. A bystander must not be signalled for one.
    """
    PIDS = struct.Struct('=4x4x40siiQQ')  # of struct nsi_state: boot id, supervisor, pid 1, their starts

    def bystander(self):
        process = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with open(f'/proc/{process.pid}/stat') as f:
            return process, int(f.read().rsplit(')')[1].split()[19])

    def leave(self, **changes):
        """Everything that a live container has in /run, after its end; the record with other values. Then sockets answer nobody."""
        run(['rm', '-rf', '/root/left'])
        with self.broker():
            first = self.held()
            run(['cp', '-a', RUN_DIR, '/root/left'])
            self.ends_in_order(first)
            wait_nothing_left()
        run(f'rm -rf {RUN_DIR} && cp -a /root/left {RUN_DIR}')
        st = os.stat(self.root)
        path = f'{RUN_DIR}/{st.st_dev:x}-{st.st_ino:x}/state'
        with open(path, 'r+b') as f:
            names = ('boot', 'supervisor', 'pid1', 'supervisor_start', 'pid1_start')
            values = dict(zip(names, self.PIDS.unpack(f.read(self.PIDS.size))))
            self.assertEqual(values['boot'].rstrip(b'\0').decode(), open('/proc/sys/kernel/random/boot_id').read().strip())
            values.update(changes)
            f.seek(8)
            f.write(self.PIDS.pack(*(values[n] for n in names))[8:])
        write(f'{self.root}/.nspid', str(values['pid1']))

    def broker(self):
        return Broker(self)

    def next_boot(self, alive=(), dead=()):
        for command in (ssh('alice', PROBE), su('alice', PROBE), exec_('alice', PROBE)):
            self.lands(command)
            wait_nothing_left()
        with self.broker():
            self.lands(self.shell())
            wait_nothing_left()
        for process in alive:
            self.assertIsNone(process.poll(), 'a bystander was killed')
        for process in dead:
            self.assertEqual(process.wait(5), -signal.SIGKILL)

    @staticmethod
    def shell():
        return ['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', '--reset-env', 'nsinit-shell', '-c', PROBE]

    def test_of_another_boot(self):
        process, start = self.bystander()
        self.leave(boot=b'01234567-89ab-cdef-0123-456789abcdef', supervisor=process.pid, pid1=process.pid,
                   supervisor_start=start, pid1_start=start)
        self.next_boot(alive=[process])

    def test_of_this_boot_with_reused_numbers(self):
        process, start = self.bystander()
        self.leave(supervisor=process.pid, pid1=process.pid, supervisor_start=start - 1, pid1_start=start - 1)
        self.next_boot(alive=[process])

    def test_the_control(self):
        """What is its pid 1 indeed, by number, start and boot, is ended."""
        process, start = self.bystander()
        self.leave(supervisor=2 ** 22 - 1, supervisor_start=1, pid1=process.pid, pid1_start=start)
        self.next_boot(dead=[process])

    def test_record_that_is_not_whole(self):
        """The machine went down in the midst of writing."""
        for size in (0, 1, 48, 100):
            self.leave()
            st = os.stat(self.root)
            os.truncate(f'{RUN_DIR}/{st.st_dev:x}-{st.st_ino:x}/state', size)
            self.next_boot()


class Broker:
    """nsinitd, as long as the context lasts."""

    def __init__(self, test):
        self.test, self.process = test, None

    def __enter__(self):
        if os.path.exists(f'{RUN_DIR}/doors/nsinitd'):
            os.unlink(f'{RUN_DIR}/doors/nsinitd')  # as its unit says, RemoveOnStop=
        self.process = subprocess.Popen(['nsinitd'])
        self.test.addCleanup(self.__exit__)
        host.wait_nsinitd()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
