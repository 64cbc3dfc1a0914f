# Installs wheels with pip, each into a folder of its own, and prints of each as a JSON line what is there: the files by
# their paths, what Python finds by each module's name, and what runs whenever it starts. The first argument is a folder
# of folders with one wheel each; the others are modules. Exit 3: there is no pip.
import contextlib
import hashlib
import importlib.machinery
import io
import json
import logging
import multiprocessing
import os
import pathlib
import sys
import tempfile

os.environ.update(
    PIP_CONFIG_FILE=os.devnull,
    PIP_DISABLE_PIP_VERSION_CHECK="1",
    PIP_BREAK_SYSTEM_PACKAGES="1",
    PIP_NO_INPUT="1",
    PIP_NO_CACHE_DIR="1",
)
try:
    from pip._internal.cli.main import main as pip
except ImportError:
    sys.exit(3)

FOLDER, MODULES = pathlib.Path(sys.argv[1]), sys.argv[2:]
OPTIONS = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--ignore-installed", "--no-warn-script-location"]
# Written by pip.
WRITTEN = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


def digest(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def place(prefix, site, path):
    """The name of a file: below the import path, or in its scheme."""
    if path.is_relative_to(site):
        return str(path.relative_to(site))
    parts = path.relative_to(prefix).parts
    if parts[0] == "bin":
        return "/".join((".data/scripts", *parts[1:]))
    if parts[0] == "include":
        return "/".join((".data/headers", *parts[3:]))
    return "/".join((".data/data", *parts))


def found(site, module):
    """What an import finds, with the bytecode beside it; of the packages above, what comes first."""
    where, seen = [str(site)], []
    names = module.split(".")
    for at in range(len(names)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(names[: at + 1]), where)
        if spec is None:
            return None
        origin = pathlib.Path(spec.origin) if spec.origin else None
        seen.append(str(origin.relative_to(site)) if origin else None)
        where = list(spec.submodule_search_locations or [])
        if origin:
            caches = sorted(origin.parent.glob(f"__pycache__/{origin.stem}.*"))
            seen.extend(digest(cache) for cache in caches)
    return seen + [digest(origin)] if origin else seen


def install(wheel):
    told = {"wheel": int(wheel.parent.name)}
    with tempfile.TemporaryDirectory() as folder:
        prefix = pathlib.Path(folder).resolve() / "prefix"
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                is_installed = pip([*OPTIONS, "--prefix", str(prefix), str(wheel)]) == 0
        except BaseException:
            is_installed = False
        finally:
            logging.disable(logging.NOTSET)
        if not is_installed:
            return told
        sites = [path for path in prefix.rglob("*-packages") if path.name in ("site-packages", "dist-packages")]
        site = min(sites, key=lambda path: len(path.parts), default=prefix / "none")
        files = [path for path in prefix.rglob("*") if path.is_file()]
        files = [path for path in files if not (path.parent.name.endswith(".dist-info") and path.name in WRITTEN)]
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()
        told["files"] = {place(prefix, site, path): digest(path) for path in files}
        told["modules"] = {module: found(site, module) for module in MODULES}
        starts = [*site.glob("*.pth"), *site.glob("sitecustomize*"), *site.glob("usercustomize*")]
        told["start"] = {path.name: digest(path) for path in starts if path.is_file()}
        return told


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        for told in pool.imap(install, sorted(FOLDER.glob("*/*.whl")), chunksize=10):
            print(json.dumps(told))
