// LinuxProcess
