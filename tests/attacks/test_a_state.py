"""A. State and configuration: what the container's root writes is no authority."""
from attack import *


class State(Attack):
    def attack_01_forged_nspid(self):
        """C writes another process's number into .nspid, and waits for the next who enters."""
        def forge(tool):
            other = self.root(tool, 'other')
            write(f'{other}/name', 'another')
            _, foreign = self.live(tool, other)
            root = self.root(tool)
            gained = []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                for value in (os.getpid(), foreign, '0', '-1', 2**32 + 1, f'{os.getpid()} 34', ''):
                    write(f'{root}/.nspid', str(value))
                    shown = self.use(tool, root, 'sh', '-c', 'hostname; cat /name').split()
                    gained += [(value, shown)] if shown != [INSIDE] else []
                    if isinstance(tool, Naive):
                        os.unlink(f'{root}/.nspid')
            return gained
        self.fails(forge, Naive(), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()))


del Attack
