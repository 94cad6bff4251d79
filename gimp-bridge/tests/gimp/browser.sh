#!/bin/sh
# Stands for a web browser in the chroot of the tests.
echo "$@" >>/test/browsed
