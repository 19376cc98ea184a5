"""pair-discovery: what is listed where, under one name, and which pairs are one coin."""
