/**
 * Parses a main file as supervisord would at its start, without effect, under Python 2 and 3. On stdin comes a JSON
 * object: files that are to be seen otherwise than they lie on the disk, base64 by path, null for one that is gone.
 * A file is known by the real path of its folder, so that every spelling of it leads to it. The folder that
 * supervisord runs in is not searched for modules. What 4.2 imports only to find plugins, pkg_resources, takes longer
 * to load than all the rest: it is loaded when a plugin is not plainly there.
 */
export const DRY_PARSE = `
import sys
sys.path = [p for p in sys.path if p not in ('', '.')]
import base64, fnmatch, io, json, os, re, types

class Late(types.ModuleType):
    def __getattr__(self, name):
        if sys.modules.get('pkg_resources') is self:
            del sys.modules['pkg_resources']
        import pkg_resources
        return getattr(pkg_resources, name)

sys.modules['pkg_resources'] = Late('pkg_resources')
from supervisor import options
from supervisor.compat import ConfigParser

def known(path):
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder or '.'), name)

seen = {}
for path, text in json.loads(sys.stdin.read()).items():
    seen[known(path)] = None if text is None else base64.b64decode(text)

class Named(io.BytesIO):
    name = None

def seen_open(path, *args, **kwargs):
    if known(path) not in seen:
        return io_open(path, *args, **kwargs)
    text = seen[known(path)]
    if text is None:
        raise IOError(2, 'No such file or directory', path)
    file = Named(text)
    file.name = path
    return file if sys.version_info[0] < 3 else io.TextIOWrapper(file, encoding=kwargs.get('encoding'))

def seen_exists(path):
    return seen[known(path)] is not None if known(path) in seen else os_exists(path)

def seen_glob(pattern, *args, **kwargs):
    found = [path for path in glob(pattern, *args, **kwargs) if known(path) not in seen]
    folders, names = os.path.split(pattern)
    for folder in glob(folders) or [folders]:
        for path, text in seen.items():
            name = os.path.basename(path)
            if text is None or os.path.dirname(path) != os.path.realpath(folder):
                continue
            if fnmatch.fnmatchcase(name, names) and (not name.startswith('.') or names.startswith('.')):
                found.append(os.path.join(folder, name))
    return found

if seen:
    io_open, os_exists, glob = open, os.path.exists, options.glob.glob
    options.open = ConfigParser.open = seen_open
    options.glob.glob = seen_glob
    options.ServerOptions.exists = lambda self, path: seen_exists(path)

import_spec = options.ServerOptions.import_spec

def plain_spec(self, spec):
    if re.match(r'[\\w.]+:\\w+$', spec):
        module, name = spec.split(':')
        try:
            __import__(module)
            return getattr(sys.modules[module], name)
        except (AttributeError, ImportError):
            pass
    return import_spec(self, spec)

options.ServerOptions.import_spec = plain_spec
parser = options.ServerOptions()
parser.realize(['-c', sys.argv[1]])
`
