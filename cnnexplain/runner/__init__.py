"""The whole story: pictures in, explanations out, a folder that can be continued."""
