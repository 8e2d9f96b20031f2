// QemuVirt
