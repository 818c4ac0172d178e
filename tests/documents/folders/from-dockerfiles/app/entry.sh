#!/bin/sh -eu
echo "entry $*"
