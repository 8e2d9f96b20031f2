// haechid
