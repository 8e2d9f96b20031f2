"""What make-image, inspect and qemu share: file formats written and read without outside tools."""
