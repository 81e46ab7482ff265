"""Images to videos by differentiable augmentation search, and the networks that fuse them."""
