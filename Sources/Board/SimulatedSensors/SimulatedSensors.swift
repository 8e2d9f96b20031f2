// SimulatedSensors
