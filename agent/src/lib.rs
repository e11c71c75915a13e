//! What the program and its agent on a node say to each other. The agent's own code is in the binaries.
