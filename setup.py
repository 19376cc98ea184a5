"""Builds the native parts. Everything else about the project stands in pyproject.toml.

A Cython file is an extension of its own; the C headers it includes are its dependencies, so that a
change in a header rebuilds what uses it.
"""

import os
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

SRC = Path("src")
HEADERS = sorted(str(path) for path in SRC.rglob("*.h"))
INCLUDES = sorted({str(Path(header).parent) for header in HEADERS})


def extension(path: Path) -> Extension:
    """The extension module of one .pyx file, named by its place in the package."""
    name = ".".join(path.relative_to(SRC).with_suffix("").parts)
    return Extension(
        name,
        [str(path)],
        include_dirs=[*INCLUDES, numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        depends=HEADERS,
        # -ffp-contract=off: both decoding tiers and the test oracle must round alike on aarch64.
        libraries=["m"],
        extra_compile_args=["-O3", "-std=gnu11", "-ffp-contract=off", "-fno-strict-aliasing"],
    )


class BuildWithCommit(build_py):
    """Writes down which commit a wheel was made from and which versions it was tested with; a
    checkout is asked itself."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            sys.path.insert(0, str(SRC.resolve()))
            from spread_scanner.schema.version import COMMIT_FILE, commit_of

            folder = Path(self.build_lib) / "spread_scanner" / "schema"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / COMMIT_FILE).write_text(commit_of(Path(".git").resolve()), encoding="ascii")
            lock = Path("requirements.lock").read_bytes()
            (folder.parent / "requirements.lock").write_bytes(lock)  # for deploy/setup.sh --wheel


setup(
    cmdclass={"build_py": BuildWithCommit},
    # The extensions are compiled side by side.
    options={"build_ext": {"parallel": os.cpu_count()}},
    # One executable per process; a wheel puts them beside spread-ctl.
    scripts=[str(path) for path in sorted(Path("bins").iterdir())],
    ext_modules=cythonize(
        [extension(path) for path in sorted(SRC.rglob("*.pyx"))],
        include_path=[str(SRC)],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
)
