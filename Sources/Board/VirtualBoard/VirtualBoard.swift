// VirtualBoard
