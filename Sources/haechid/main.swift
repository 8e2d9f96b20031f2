// haechid: the device's one executable. Read this, then `DeviceCore/Device.swift`.
//
// It has three roles. As PID 1, or as the first process on a development host, it is the supervisor. The supervisor executes this same
// image again as the runtime, which gives up its rights before it does anything else. Workers are forks of the supervisor.
import Glibc
import LinuxProcess

let arguments = Array(CommandLine.arguments.dropFirst())

if getpid() == 1 {
  // Whatever the kernel's command line or a boot loader passed: a device has no options.
  runSupervisor(options: .device)
} else if arguments.first == RuntimeStart.role {
  runAsRuntime(arguments: Array(arguments.dropFirst()))
} else {
  runSupervisor(options: HostOptions.parseOrExit(arguments))
}
