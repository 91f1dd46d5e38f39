"""What a repo on the Hub says about itself, and the assembling of the folders that are pushed."""
