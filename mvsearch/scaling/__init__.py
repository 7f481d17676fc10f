"""Families of sizes from one network: how they are made, what they cost, what they gain, and by which laws."""
