# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

# `make demo` and `make test` need Python 3.10 to 3.13, a C++ compiler and CMake, and fetch the rest.
PYTHON ?= python3
# A camera number, a video, a picture or a folder of pictures for `make demo`; empty: its own pictures.
SOURCE ?=
# More options: make test ARGS="-k tracking"
ARGS ?=

BOOTSTRAP = @$(PYTHON) scripts/bootstrap.py

.PHONY: help demo test bench soak fuzz mutation audit docs build clean

help:
	@echo "make demo    show the node at work        (SOURCE=0, SOURCE=video.mp4)"
	@echo "make test    run the linters and tests    (ARGS=\"-k tracking\")"
	@echo "make bench   measure it beside its peers"
	@echo "make soak    let the node run for long  (ARGS=\"--minutes 60\")"
	@echo "make fuzz    feed it damaged input       (ARGS=\"--help\")"
	@echo "make mutation  test the tests            (ARGS=\"--help\")"
	@echo "make audit   known vulnerabilities and the bill of materials of what is installed"
	@echo "make docs    build the documentation into site/"
	@echo "make build   build the package; prints the file to source to use it"
	@echo "make clean   remove what was built; rm -rf .venv removes what was installed too"
	@echo
	@echo "ROS_DISTRO=kilted uses that distribution instead of jazzy; a sourced ROS 2 is used as it is."
	@echo "PYTHON=python3.12 uses that interpreter."

demo:
	$(BOOTSTRAP) demo --source "$(SOURCE)" $(ARGS)

test:
	$(BOOTSTRAP) test $(ARGS)

bench:
	$(BOOTSTRAP) bench $(ARGS)

soak fuzz mutation audit docs:
	$(BOOTSTRAP) $@ $(ARGS)

build:
	$(BOOTSTRAP) build

clean:
	rm -rf .venv/*/ws .venv/*/stamps/build build install log
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis demo_output *.egg-info
